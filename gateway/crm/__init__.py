"""What callers do to records of the CRM: create, change and delete them.

`values` and `bodies` check and convert what a caller sends, `multifields` compares phones and addresses with those of
the portal, `writes` makes the calls, `outcomes` finds out what became of a call whose answer was lost, and `service`
puts it together: the journal, the call, the mirror.
"""
