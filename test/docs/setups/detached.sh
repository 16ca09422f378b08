pgtv upgrade detach --snapshot other.json --apply --receipt other-receipt.json
