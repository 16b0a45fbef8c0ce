"""`python -m ecgnb` is the command line."""

from ecgnb.cli.commands import main

main()
