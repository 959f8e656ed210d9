"""``python -m greenbas``."""

from greenbas.cli import main

main()
