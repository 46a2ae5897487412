"""An emulated Bitrix24 portal: demo, test fixture and load target in one."""
