"""What callers do to records of the CRM: create, change and delete them, and what belongs to them.

`values` and `bodies` check and convert what a caller sends, `multifields` compares phones and addresses with those of
the portal, `writes` makes the calls, `outcomes` finds out what became of a call whose answer was lost, and `service`
puts it together: the journal, the call, the mirror. `deletes` deletes records, also with their contact and company.
`addresses` shows and writes addresses: `address_calls` makes their calls, `address_bodies` checks what is written, and
`address_choice` finds the one that is meant.

`bindings` are the contacts and companies of records, `product_rows` their products, `comments` those of timelines,
and `related_deals` the deals of contacts and companies.
"""
