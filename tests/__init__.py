"""The tests of the project, by what they need: unit, contract, integration, e2e, docs, typing."""
