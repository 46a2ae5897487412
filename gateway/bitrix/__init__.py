"""All that knows how Bitrix24 speaks: calls, limits, retries, walks and OAuth."""
