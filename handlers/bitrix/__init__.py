"""The addresses under /bitrix, and the redirect target of the authorization."""
