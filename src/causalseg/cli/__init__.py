"""The `causalseg` command: one file per subcommand, which imports its work when it runs."""
