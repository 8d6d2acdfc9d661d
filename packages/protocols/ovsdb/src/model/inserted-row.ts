/**
 * A row that a transaction is about to insert. Within that transaction it stands wherever a uuid of its table may stand; after it, the result knows the
 * uuid. (RFC 7047, section 5.1, `<named-uuid>`.)
 */
export class InsertedRow<Table extends string = string> {
  readonly table: Table;
  /** The `uuid-name` on the wire. */
  readonly name: string;
  /** The position of the insert in its transaction. */
  readonly index: number;

  constructor(table: Table, name: string, index: number) {
    this.table = table;
    this.name = name;
    this.index = index;
    Object.freeze(this);
  }
}
