\echo Use "CREATE EXTENSION pneumo" to load this file. \quit
