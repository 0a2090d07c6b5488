-- The durable collections. They were added after format 1 and do not change the format: older servers continue to work
-- beside newer ones.
CREATE TABLE {schema}.items (
	collection text        COLLATE "C" NOT NULL,
	key        text        COLLATE "C" NOT NULL,
	sequence   bigint      NOT NULL CHECK (sequence > 0),
	time       timestamptz NOT NULL,
	data       bytea       NOT NULL,
	PRIMARY KEY (collection, key)
);

-- put_item stores an item. If was is NULL, it replaces any stored item. If was is 0, the key must have no item; otherwise
-- its item must have the sequence was. If this condition is not met, stored is false and the other columns are the stored
-- item, or NULL if there is no item. The lock of the row, or of its index entry, orders concurrent callers.
CREATE FUNCTION {schema}.put_item(
	log uuid, collection text, key text, was bigint, sequence bigint, at timestamptz, data bytea,
	OUT stored boolean, OUT there_sequence bigint, OUT there_time timestamptz, OUT there_data bytea
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM {schema}.begin_durable(put_item.log);
	IF put_item.was IS NULL THEN
		INSERT INTO {schema}.items VALUES ($2, $3, $5, $6, $7) ON CONFLICT ON CONSTRAINT items_pkey
			DO UPDATE SET sequence = excluded.sequence, time = excluded.time, data = excluded.data;
	ELSIF put_item.was = 0 THEN
		INSERT INTO {schema}.items VALUES ($2, $3, $5, $6, $7) ON CONFLICT ON CONSTRAINT items_pkey DO NOTHING;
	ELSE
		UPDATE {schema}.items AS i SET sequence = $5, time = $6, data = $7
			WHERE i.collection = $2 AND i.key = $3 AND i.sequence = put_item.was;
	END IF;
	stored := FOUND;
	IF NOT stored THEN
		SELECT i.sequence, i.time, i.data INTO there_sequence, there_time, there_data
			FROM {schema}.items i WHERE i.collection = $2 AND i.key = $3;
	END IF;
END $$;

CREATE FUNCTION {schema}.drop_item(log uuid, collection text, key text) RETURNS bigint
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE dropped bigint;
BEGIN
	PERFORM {schema}.begin_durable(drop_item.log);
	DELETE FROM {schema}.items i WHERE i.collection = $2 AND i.key = $3;
	GET DIAGNOSTICS dropped = ROW_COUNT;
	RETURN dropped;
END $$;

-- begin_durable is called at the beginning of each durable change, and does the same as append: the commit waits for the
-- disk, another session cannot block it for long, and the log must be the one that the caller has opened.
CREATE FUNCTION {schema}.begin_durable(log uuid) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF current_setting('synchronous_commit') NOT IN ('on', 'remote_apply') THEN
		PERFORM set_config('synchronous_commit', 'on', true);
	END IF;
	PERFORM set_config('lock_timeout', '5s', true);
	IF NOT EXISTS (SELECT FROM {schema}.info i WHERE i.log_id = begin_durable.log) THEN
		RAISE EXCEPTION 'the database holds another log than it did' USING ERRCODE = 'DV001';
	END IF;
END $$;

REVOKE ALL ON FUNCTION {schema}.put_item, {schema}.drop_item, {schema}.begin_durable FROM PUBLIC;

-- Users with permissions on output receive the same permissions here, so that a user with few permissions needs no new
-- grants. The name of the schema is looked up, because it cannot be part of a string.
DO $do$
DECLARE
	place oid;
	name text;
	grantee text;
BEGIN
	SELECT n.oid, n.nspname INTO STRICT place, name FROM {schema}.info i
		JOIN pg_catalog.pg_class c ON c.oid = i.tableoid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace;
	FOR grantee IN
		SELECT DISTINCT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END
		FROM pg_catalog.pg_class c CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) a
		WHERE c.relnamespace = place AND c.relname = 'output' AND a.privilege_type = 'SELECT' AND a.grantee <> c.relowner
	LOOP
		EXECUTE pg_catalog.format('GRANT SELECT ON %I.items TO %s', name, grantee);
	END LOOP;
	FOR grantee IN
		SELECT DISTINCT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END
		FROM pg_catalog.pg_proc p CROSS JOIN LATERAL pg_catalog.aclexplode(p.proacl) a
		WHERE p.pronamespace = place AND p.proname = 'put_output' AND a.privilege_type = 'EXECUTE' AND a.grantee <> p.proowner
	LOOP
		EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION %1$I.put_item, %1$I.drop_item TO %2$s', name, grantee);
	END LOOP;
END $do$;
