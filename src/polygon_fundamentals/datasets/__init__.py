"""What a dataset is: its schema, its keys and its flat form.

Nothing here reads or writes a file of the lake.
"""
