"""Every parameter of every flow, declared once, as a frozen model for each flow.

Prefect's form (`flows.signature.takes`), the command line, its help and the checks are made of
these models. Nothing here imports Prefect, so that `--help` and wrong use answer at once.
"""
