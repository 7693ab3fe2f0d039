/** A type of workerd that the router's session store names. Tests here run the router's plain classes in Node, where no such thing exists. */
interface SqlStorage {
  exec<Row>(query: string, ...values: unknown[]): Iterable<Row> & { toArray(): Row[]; one(): Row };
}
