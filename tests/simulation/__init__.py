"""A simulator: the real service over a log, a store, a clock and a group that misbehave by a seed.

``profile`` says how often what happens, ``records`` what the log holds, ``world`` is what all have
in common, ``store``, ``source`` and ``membership`` are what the service meets, ``process`` is one
run of the service, ``scheduler`` decides who goes on, and ``check`` holds the store to the log.
Everything random comes from the seed, so a seed that fails fails again.
"""
