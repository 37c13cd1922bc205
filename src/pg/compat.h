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

#endif							/* PNEUMO_PG_COMPAT_H */
