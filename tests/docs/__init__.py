"""The documents, held to the code: what they name exists, what they show runs."""
