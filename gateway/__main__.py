"""`python -m gateway` is `bitrix-gateway`."""

from gateway.cli import main

main(prog_name="bitrix-gateway")
