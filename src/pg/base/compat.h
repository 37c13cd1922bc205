/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  What differs between PostgreSQL 15 and 18; the only place that asks for
 *	  PG_VERSION_NUM.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_COMPAT_H
#define PNEUMO_PG_COMPAT_H

#if PG_VERSION_NUM < 150000
#error "pneumo needs PostgreSQL 15 or later"
#endif

#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* 18 has pg_noreturn, which stands before the declaration, instead. */
#ifndef pg_attribute_noreturn
#define pg_attribute_noreturn() __attribute__((noreturn))
#endif

#if PG_VERSION_NUM >= 160000
#define pneumo_qualified_name(text) stringToQualifiedNameList(text, NULL)
#define pneumo_check_can_become(member, role) check_can_set_role(member, role)
#else
#define pneumo_qualified_name(text) stringToQualifiedNameList(text)
#define pneumo_check_can_become(member, role) check_is_member_of_role(member, role)
#endif

/* All settings of the session; needs utils/guc_tables.h where it is used. */
#if PG_VERSION_NUM >= 160000
#define pneumo_guc_variables(n) get_guc_variables(n)
#else
#define pneumo_guc_variables(n) (*(n) = GetNumConfigOptions(), get_guc_variables())
#endif

/* The number of a named wait event; before 17 all extensions share one. */
#if PG_VERSION_NUM >= 170000
#define pneumo_wait_event_new(name) WaitEventExtensionNew(name)
#else
#define pneumo_wait_event_new(name) PG_WAIT_EXTENSION
#endif

/* A session user who may not log in (SET SESSION AUTHORIZATION). */
#if PG_VERSION_NUM >= 170000
#define PNEUMO_WORKER_CONNECT_FLAGS BGWORKER_BYPASS_ROLELOGINCHECK
#else
#define PNEUMO_WORKER_CONNECT_FLAGS 0
#endif

/* Settings that end statements and transactions after a time. */
#if PG_VERSION_NUM >= 170000
#define PNEUMO_TIMEOUTS \
	"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "transaction_timeout"
#else
#define PNEUMO_TIMEOUTS "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"
#endif

/* The header that declares ExplainPropertyList(). */
#if PG_VERSION_NUM >= 180000
#define PNEUMO_EXPLAIN_HEADER "commands/explain_format.h"
#else
#define PNEUMO_EXPLAIN_HEADER "commands/explain.h"
#endif

/* The library's magic block; from 18 on it also tells name and release. */
#if PG_VERSION_NUM >= 180000
#define PNEUMO_MODULE_MAGIC PG_MODULE_MAGIC_EXT(.name = "pneumo", .version = PNEUMO_VERSION)
#else
#define PNEUMO_MODULE_MAGIC PG_MODULE_MAGIC
#endif

#endif /* PNEUMO_PG_COMPAT_H */
