pgtv snapshot save last-good.json
