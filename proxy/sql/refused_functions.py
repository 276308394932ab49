"""PostgreSQL's functions with an effect that this tier cannot have, refused by name.

Without this list they would be functions that do not exist (42883), which sounds like a misspelling, and a client
could not tell the one from the other.  What has no effect and is missing is not listed: that does not exist.
"""

from __future__ import annotations

from typing import Final

_BY_REASON: Final = {
    "there are no large objects; keep bytes in a column of type bytea": """
        lo_create lo_creat lo_unlink lo_import lo_export lo_from_bytea lo_put lo_get lo_open lo_close lo_lseek
        lo_lseek64 lo_tell lo_tell64 lo_truncate lo_truncate64 lowrite loread
    """,
    "what a session has drawn is known to nobody else; use RETURNING": "currval lastval",
    "transactions have no numbers before they are in the log": "pg_current_xact_id pg_current_xact_id_if_assigned",
    "a snapshot is one node's": "pg_export_snapshot",
    "sessions are not one server's": "pg_cancel_backend pg_terminate_backend pg_log_backend_memory_contexts",
    "a tier has no server of its own to administer": """
        pg_reload_conf pg_rotate_logfile pg_switch_wal pg_create_restore_point pg_promote pg_wal_replay_pause
        pg_wal_replay_resume pg_backup_start pg_backup_stop pg_start_backup pg_stop_backup pg_logical_emit_message
        pg_create_physical_replication_slot pg_create_logical_replication_slot pg_drop_replication_slot
        pg_copy_physical_replication_slot pg_copy_logical_replication_slot pg_replication_slot_advance
        pg_logical_slot_get_changes pg_logical_slot_peek_changes pg_replication_origin_create
        pg_replication_origin_drop pg_import_system_collations brin_summarize_new_values gin_clean_pending_list
        pg_stat_reset pg_stat_reset_shared pg_stat_reset_single_table_counters pg_stat_reset_slru
        pg_stat_statements_reset pg_prewarm
    """,
    "files of a node are not a client's": """
        pg_read_file pg_read_binary_file pg_stat_file pg_ls_dir pg_ls_logdir pg_ls_waldir pg_ls_tmpdir pg_file_write
        pg_file_rename pg_file_unlink
    """,
    "it would run a statement that nobody has planned": """
        dblink dblink_exec dblink_connect dblink_open dblink_send_query query_to_xml query_to_xmlschema
        query_to_xml_and_xmlschema cursor_to_xml table_to_xml database_to_xml
    """,
}

REFUSED_FUNCTIONS: Final = {name: reason for reason, names in _BY_REASON.items() for name in names.split()}
"""Why each is refused."""
