-- Format 1 of drover's log. {schema} is replaced by the quoted name of its schema.
CREATE TABLE {schema}.info (
	one    boolean PRIMARY KEY DEFAULT true CHECK (one),
	log_id uuid    NOT NULL,
	format integer NOT NULL
);

-- Positions are 1, 2, 3 and so on in the order of commits: each is the last one plus 1,
-- taken under the lock of turn. The primary key would stop whoever took no lock.
CREATE TABLE {schema}.events (
	position bigint      PRIMARY KEY,
	stream   text        COLLATE "C" NOT NULL,
	revision bigint      NOT NULL CHECK (revision >= 0),
	id       uuid        NOT NULL,
	type     text        COLLATE "C" NOT NULL,
	time     timestamptz NOT NULL,
	command  uuid,
	causes   uuid[]      NOT NULL,
	data     json        NOT NULL, -- not jsonb, which would not give back what it got
	checksum text        COLLATE "C" NOT NULL,
	UNIQUE (stream, revision)
);

-- turn holds no row. Who appends locks it until the commit.
CREATE TABLE {schema}.turn ();

CREATE FUNCTION {schema}.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'the log is append-only: % on its events is refused', TG_OP USING ERRCODE = 'DV003';
END $$;
CREATE TRIGGER events_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {schema}.events
	FOR EACH STATEMENT EXECUTE FUNCTION {schema}.refuse();
ALTER TABLE {schema}.events ENABLE ALWAYS TRIGGER events_are_append_only;

-- append judges several appends, each on its own, and writes those that stand where they
-- expect to: the arrays of one line have an element for each append, those of the next
-- two one for each event, owners says of which append and nths which of its events.
--
-- For each append, lasts says where its stream stood, and places the position of its last
-- event, NULL if it was not written. Of several appends to one stream that fit, the first
-- is written, and the others must be asked for again: they are to be judged on what it
-- left. Of those that do not fit, what stands in their place is returned: found_owners,
-- found_ids and found_places have an element for each such event.
--
-- The plans are generic because planning anew would cost more than all the rest.
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

-- Leases and output are no events: they may be lost, and wait for no disk.
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

-- Nobody but the owner and who is granted it may use any of this.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA {schema} FROM PUBLIC;
