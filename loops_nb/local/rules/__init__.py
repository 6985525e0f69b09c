"""Rules of the API: what is allowed and what follows from it, as functions over the store and the statuses."""
