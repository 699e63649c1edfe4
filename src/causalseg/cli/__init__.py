"""The `causalseg` command: one file a subcommand, each importing its work inside its function."""
