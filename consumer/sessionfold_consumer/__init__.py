"""The consumer service: folds the events of each session, in log order, into its current state.

The modules stand in the order that data flows: ``source`` (records from Kafka), ``decode`` (records
to columns), ``fold`` (columns to one row a session), ``store`` (rows, positions and dead letters in
one transaction); ``service`` runs them, ``bootstrap`` wires them, ``cli`` starts them.
"""
