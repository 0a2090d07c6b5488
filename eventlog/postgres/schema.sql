-- Format 1 of the log. {schema} is replaced by the quoted name of the schema.
CREATE TABLE {schema}.info (
	one    boolean PRIMARY KEY DEFAULT true CHECK (one),
	log_id uuid    NOT NULL,
	format integer NOT NULL
);

-- Positions are 1, 2, 3 and so on in the order of commits. Each is assigned as the last one plus 1 under the lock of turn.
-- The primary key stops an insert that does not take the lock.
CREATE TABLE {schema}.events (
	position bigint      PRIMARY KEY,
	stream   text        COLLATE "C" NOT NULL,
	revision bigint      NOT NULL CHECK (revision >= 0),
	id       uuid        NOT NULL,
	type     text        COLLATE "C" NOT NULL,
	time     timestamptz NOT NULL,
	command  uuid,
	causes   uuid[]      NOT NULL,
	data     json        NOT NULL, -- not jsonb, which does not return its input unchanged
	checksum text        COLLATE "C" NOT NULL,
	UNIQUE (stream, revision)
);

-- turn has no rows. An append locks it until the commit.
CREATE TABLE {schema}.turn ();

CREATE FUNCTION {schema}.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'the log is append-only: % on its events is refused', TG_OP USING ERRCODE = 'DV003';
END $$;
CREATE TRIGGER events_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {schema}.events
	FOR EACH STATEMENT EXECUTE FUNCTION {schema}.refuse();
ALTER TABLE {schema}.events ENABLE ALWAYS TRIGGER events_are_append_only;

-- append checks several appends separately and writes those whose expected revision is the last one of their stream. The
-- arrays streams, expected and sizes have one element per append, the other arrays one per event. owners is the number of
-- the append of an event, and nths the number of the event in its append.
--
-- For each append, lasts is the last revision of its stream before the call. places is the position of its last event, or
-- NULL if the append was not written. If several appends to one stream are valid, only the first is written. The caller
-- must send the others again, because they have to be checked after the first. For appends that are not valid,
-- found_owners, found_ids and found_places have one element for each event that is stored in their place.
--
-- Plans are generic, because planning each call would cost more than everything else.
CREATE FUNCTION {schema}.append(
	log uuid,
	streams text[], expected bigint[], sizes bigint[],
	owners bigint[], nths bigint[], ids uuid[], types text[], times timestamptz[], commands uuid[],
	causes text[], datas text[], checksums text[],
	OUT lasts bigint[], OUT places bigint[], OUT found_owners bigint[], OUT found_ids uuid[], OUT found_places bigint[]
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
	IF current_setting('transaction_isolation') <> 'read committed' THEN
		RAISE EXCEPTION 'appends need the isolation level read committed' USING ERRCODE = 'DV002';
	END IF;
	IF current_setting('synchronous_commit') NOT IN ('on', 'remote_apply') THEN
		PERFORM set_config('synchronous_commit', 'on', true);
	END IF;
	PERFORM set_config('lock_timeout', '5s', true);
	LOCK TABLE {schema}.turn IN EXCLUSIVE MODE;
	IF NOT EXISTS (SELECT FROM {schema}.info i WHERE i.log_id = append.log) THEN
		RAISE EXCEPTION 'the database holds another log than it did' USING ERRCODE = 'DV001';
	END IF;
	-- The lock was taken by a statement of its own, so what follows sees all that was
	-- committed under it.
	WITH asked AS MATERIALIZED (
		SELECT a.nr, a.stream, a.size, a.expect,
			coalesce(
				-- Where the append fits, this meets one entry of the index and not a page of them.
				(SELECT max(e.revision) FROM {schema}.events e WHERE e.stream = a.stream AND e.revision >= a.expect),
				(SELECT max(e.revision) FROM {schema}.events e WHERE e.stream = a.stream), -1) AS last
		FROM unnest(append.streams, append.expected, append.sizes) WITH ORDINALITY AS a(stream, expect, size, nr)
	), ranked AS MATERIALIZED (
		SELECT r.*, r.expect = r.last AND row_number() OVER (PARTITION BY r.stream, r.expect = r.last ORDER BY r.nr) = 1 AS fits
		FROM asked r
	), placed AS (
		SELECT p.nr, p.last, CASE WHEN p.fits THEN (sum(p.size) FILTER (WHERE p.fits) OVER (ORDER BY p.nr))::bigint END AS rise
		FROM ranked p
	)
	SELECT array_agg(d.last ORDER BY d.nr), array_agg(h.head + d.rise ORDER BY d.nr)
	INTO append.lasts, append.places
	FROM placed d, (SELECT coalesce(max(e.position), 0) AS head FROM {schema}.events e) h;

	INSERT INTO {schema}.events (position, stream, revision, id, type, time, command, causes, data, checksum)
	SELECT append.places[v.owner] - append.sizes[v.owner] + v.nth, append.streams[v.owner], append.expected[v.owner] + v.nth,
		v.id, v.type, v.at, v.command, v.cause::uuid[], v.data::json, v.checksum
	FROM unnest(append.owners, append.nths, append.ids, append.types, append.times, append.commands, append.causes, append.datas, append.checksums)
		AS v(owner, nth, id, type, at, command, cause, data, checksum)
	WHERE append.places[v.owner] IS NOT NULL;

	IF array_position(append.places, NULL) IS NOT NULL THEN
		SELECT array_agg(a.nr ORDER BY a.nr, f.revision), array_agg(f.id ORDER BY a.nr, f.revision), array_agg(f.position ORDER BY a.nr, f.revision)
		INTO append.found_owners, append.found_ids, append.found_places
		FROM unnest(append.streams, append.expected, append.sizes, append.lasts) WITH ORDINALITY AS a(stream, expect, size, last, nr),
			LATERAL (SELECT e.id, e.revision, e.position FROM {schema}.events e
				WHERE e.stream = a.stream AND e.revision BETWEEN a.expect + 1 AND a.expect + a.size) f
		WHERE a.expect < a.last;
	END IF;
END $$;

-- Leases and output may be lost, so their writes do not wait for the disk.
CREATE TABLE {schema}.leases (
	server uuid  PRIMARY KEY,
	value  bytea NOT NULL
);
CREATE TABLE {schema}.output (
	deployment uuid        NOT NULL,
	machine    text        COLLATE "C" NOT NULL,
	sequence   bigint      NOT NULL,
	time       timestamptz NOT NULL,
	data       bytea       NOT NULL,
	PRIMARY KEY (deployment, machine, sequence)
);
CREATE INDEX output_by_time ON {schema}.output (time);

CREATE FUNCTION {schema}.put_lease(server uuid, value bytea) RETURNS bigint
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM set_config('synchronous_commit', 'off', true);
	INSERT INTO {schema}.leases AS l VALUES ($1, $2) ON CONFLICT ON CONSTRAINT leases_pkey DO UPDATE SET value = excluded.value;
	RETURN 1;
END $$;
CREATE FUNCTION {schema}.drop_lease(server uuid) RETURNS bigint
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM set_config('synchronous_commit', 'off', true);
	DELETE FROM {schema}.leases l WHERE l.server = $1;
	RETURN 1;
END $$;
CREATE FUNCTION {schema}.put_output(deployment uuid, machine text, sequence bigint, at timestamptz, data bytea) RETURNS bigint
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM set_config('synchronous_commit', 'off', true);
	INSERT INTO {schema}.output VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING;
	RETURN 1;
END $$;
CREATE FUNCTION {schema}.prune_output(before timestamptz) RETURNS bigint
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE pruned bigint;
BEGIN
	PERFORM set_config('synchronous_commit', 'off', true);
	DELETE FROM {schema}.output o WHERE o.time < $1;
	GET DIAGNOSTICS pruned = ROW_COUNT;
	RETURN pruned;
END $$;

-- Only the owner and users with explicit permissions may call these functions.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA {schema} FROM PUBLIC;
