"""`python -m pgtv`."""

from pgtv.cli.main import main

main()
