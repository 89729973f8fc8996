"""What a Prefect server needs to run the flows: deployments, pool, limit, key, automations."""
