"""The command line: a thin face. Each subcommand parses, calls one public function, and prints."""
