"""Workers under load while the broker goes away; workers killed over a shared spool."""
