"""The addresses below /bitrix and the way back from authorization."""
