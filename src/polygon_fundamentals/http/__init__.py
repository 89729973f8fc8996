"""Talking to the API: one session a thread, retries and the rate limit in one place."""
