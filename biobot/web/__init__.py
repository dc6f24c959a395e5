"""The console: thin views over the app's verbs."""
