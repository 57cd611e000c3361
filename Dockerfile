# The service and its command line. Two steps, so that nothing of the build is in the image.

FROM python:3.13.9-slim-trixie AS build
WORKDIR /source
COPY requirements/build.txt requirements/
RUN pip install --no-cache-dir --require-hashes -r requirements/build.txt
COPY LICENSE README.md pyproject.toml ./
COPY schemas schemas
COPY producer producer
COPY consumer consumer
RUN hatchling build -t wheel -d /wheel

FROM python:3.13.9-slim-trixie
ENV PYTHONUNBUFFERED=1
COPY requirements/run.txt /tmp/
RUN --mount=type=bind,from=build,source=/wheel,target=/wheel \
    pip install --no-cache-dir --require-hashes -r /tmp/run.txt \
    && pip install --no-cache-dir --no-deps /wheel/*.whl \
    && rm /tmp/run.txt \
    && useradd --uid 10001 --no-create-home sessionfold \
    && install -d -o sessionfold -g sessionfold /data
USER sessionfold
WORKDIR /data
# A store outside of a volume is gone with its container.
VOLUME /data
ENV SESSIONFOLD_STORE=sqlite:////data/sessions.db
ENTRYPOINT ["sessionfold"]
CMD ["run"]
