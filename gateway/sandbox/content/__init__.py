"""The data of a sandbox portal: users, CRM records, custom fields, tasks, events, and changes of them."""
