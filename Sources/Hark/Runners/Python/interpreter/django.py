# Django's connections between two tasks.


class Django:
    """Its database connections between two tasks."""

    def __init__(self):
        from django.db import connections

        self.connections = connections

    @classmethod
    def loaded(cls):
        from django.conf import settings

        return cls() if settings.configured else None

    def opened(self):
        try:
            return self.connections.all(initialized_only=True)
        except Exception:
            return []  # The settings have no databases that make sense.

    def clean(self):
        """Rolls back what is open, and does what Django does between two requests: closes old connections, forgets logged queries."""
        for connection in self.opened():
            try:
                if self.is_in_transaction(connection):
                    interpreter.log(f'the function left a transaction open on "{connection.alias}": rolled back')
                    self.roll_back(connection)
                connection.close_if_unusable_or_obsolete()
                connection.queries_log.clear()
            except Exception:
                connection.connection = None
                del self.connections[connection.alias]

    @staticmethod
    def is_in_transaction(connection):
        raw = connection.connection
        if raw is None or connection.in_atomic_block:
            return connection.in_atomic_block
        if connection.settings_dict["AUTOCOMMIT"] and not connection.autocommit:
            return True
        # ACTIVE, INTRANS and INERROR of psycopg 2 and 3; what sqlite3 has.
        return getattr(getattr(raw, "info", None), "transaction_status", 0) in (1, 2, 3) or getattr(raw, "in_transaction", False) is True

    @staticmethod
    def roll_back(connection):
        connection.in_atomic_block = connection.closed_in_transaction = False
        try:
            connection.rollback()
        except Exception:
            pass  # To close it does it as well.
        connection.close()

    def leave_to_children(self):
        """A connection belongs to one process. So does a pool of them, and what a cache has open."""
        for connection in self.opened():
            connection.close()
            if getattr(connection, "_connection_pools", {}).get(connection.alias):
                connection.close_pool()
        caches = getattr(sys.modules.get("django.core.cache"), "caches", None)
        for cache in caches.all(initialized_only=True) if caches else ():
            cache.close()
