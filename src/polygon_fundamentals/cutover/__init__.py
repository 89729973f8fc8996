"""The switch from v1 to v2 and back: journal, steps, checklist, drill, cleanup, restore.

Nothing here knows Prefect: what a server is needed for goes through `schedules.Schedules`.
"""
