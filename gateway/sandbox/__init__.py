"""An emulated Bitrix24 portal for demos, tests and load measurements.

The way of a request: `web.server` decodes it and asks `rest2.front` or `rest3.front`. The front asks `SandboxPortal`
about limits and credentials and `behaviour` about faults, then runs the function of the method. The function reads
`content` through `query` (REST 2) or `rest3.listing` (REST 3.0). `web.server` encodes the reply, or breaks it as the
fault demands. The token endpoint is `oauth`, behind `SandboxPortal.exchange_token`.

- `portal`, `settings`, `caller`, `exchange`: the state of a portal, its settings, who calls, one request and reply
- `errors`, `php`: the errors of REST 2; PHP's rules for parameters, arrays and casts
- `oauth`: authorization codes and tokens
- `blobs`: the contents of files, in a temporary directory
- `content`: which users, records, fields, files, tasks and events a portal has, and scripted changes of them
- `tables`: how rows are stored or generated, and found by their ids and times
- `query`: how REST 2 filters, sorts and pages rows
- `behaviour`: limits, the cost of lists, and faults
- `rest2`, `rest3`: the methods of each REST version, and the order of checks in its `front`
- `web`: addresses, HTML pages, files, and the control address ``/_sandbox/``
"""
