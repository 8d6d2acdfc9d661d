import { WireError } from "../wire-error.ts";
import { INFORMATION_ELEMENTS, VARIABLE_LENGTH } from "./information-element.ts";
import { FIRST_TEMPLATE, OPTIONS_TEMPLATE_SET, TEMPLATE_SET } from "./ipfix-template.ts";

/** A record: the octets of each of its elements, by IANA's name, or `e` and its number (`e9.1`: of enterprise 9) when it is not one of ours. */
export interface IpfixRecord {
  readonly templateId: number;
  /** Whether it is an options record. */
  readonly options: boolean;
  readonly values: Readonly<Record<string, Buffer>>;
}

export interface IpfixMessage {
  readonly exportTimeMs: number;
  readonly sequence: number;
  readonly observationDomainId: number;
  /** Ids of the templates that it announces. */
  readonly templates: readonly number[];
  readonly records: readonly IpfixRecord[];
  /** Sets whose template was not announced yet. */
  readonly unknownSets: number;
}

interface KnownTemplate {
  readonly options: boolean;
  readonly fields: readonly { readonly name: string; readonly length: number }[];
  /** The least that a record can have. */
  readonly leastBytes: number;
}

const MAX_TEMPLATES = 1024;
const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(INFORMATION_ELEMENTS).map(([name, { id }]) => [id, name]),
);

/**
 * A collecting process's reading part (RFC 7011), for tests and tools. Remembers up to 1,024 templates, per observation domain. `read`
 * throws `MALFORMED` for a message that breaks the format, and then remembers none of its templates that come after the break.
 */
export class IpfixReader {
  readonly #templates = new Map<string, KnownTemplate>();

  read(message: Buffer): IpfixMessage {
    if (message.length < 16) throw malformed("shorter than a header");
    if (message.readUInt16BE(0) !== 10) throw malformed(`version ${message.readUInt16BE(0)}`);
    if (message.readUInt16BE(2) !== message.length) throw malformed(`length ${message.readUInt16BE(2)}`);
    const observationDomainId = message.readUInt32BE(12);
    const templates: number[] = [];
    const records: IpfixRecord[] = [];
    let unknownSets = 0;
    for (let at = 16; at < message.length; ) {
      if (at + 4 > message.length) throw malformed(`a set at ${at} is cut short`);
      const id = message.readUInt16BE(at);
      const end = at + message.readUInt16BE(at + 2);
      if (end < at + 4 || end > message.length) throw malformed(`a set at ${at} of ${end - at} octets`);
      const set = message.subarray(at + 4, end);
      if (id === TEMPLATE_SET || id === OPTIONS_TEMPLATE_SET) {
        templates.push(...this.#readTemplates(set, observationDomainId, id === OPTIONS_TEMPLATE_SET));
      } else if (id < FIRST_TEMPLATE) throw malformed(`a set at ${at} of the reserved id ${id}`);
      else {
        const template = this.#templates.get(`${observationDomainId}/${id}`);
        if (template === undefined) unknownSets += 1;
        else
          for (const values of readRecords(set, template))
            records.push({ templateId: id, options: template.options, values });
      }
      at = end;
    }
    const exportTimeMs = message.readUInt32BE(4) * 1000;
    return { exportTimeMs, sequence: message.readUInt32BE(8), observationDomainId, templates, records, unknownSets };
  }

  #readTemplates(set: Buffer, domain: number, options: boolean): number[] {
    const ids: number[] = [];
    // Fewer octets than a template has are padding.
    for (let at = 0; at + 4 <= set.length; ) {
      const id = set.readUInt16BE(at);
      const count = set.readUInt16BE(at + 2);
      if (id < FIRST_TEMPLATE) {
        if (id === 0 && set.subarray(at).every((octet) => octet === 0)) break;
        throw malformed(`a template of the id ${id}`);
      }
      at += options && count > 0 ? 6 : 4;
      const fields: { name: string; length: number }[] = [];
      for (let index = 0; index < count; index += 1) {
        if (at + 4 > set.length) throw malformed(`the template ${id} is cut short`);
        const element = set.readUInt16BE(at);
        const length = set.readUInt16BE(at + 2);
        at += 4;
        if (element < 0x8000) fields.push({ name: NAMES.get(element) ?? `e${element}`, length });
        else {
          if (at + 4 > set.length) throw malformed(`the template ${id} is cut short`);
          fields.push({ name: `e${set.readUInt32BE(at)}.${element & 0x7fff}`, length });
          at += 4;
        }
      }
      const key = `${domain}/${id}`;
      const leastBytes = fields.reduce((sum, { length }) => sum + (length === VARIABLE_LENGTH ? 1 : length), 0);
      if (leastBytes === 0) this.#templates.delete(key);
      else if (this.#templates.has(key) || this.#templates.size < MAX_TEMPLATES) {
        this.#templates.set(key, { options, fields, leastBytes });
      } else throw malformed("more templates than are remembered");
      ids.push(id);
    }
    return ids;
  }
}

function* readRecords(set: Buffer, { fields, leastBytes }: KnownTemplate): Generator<Record<string, Buffer>> {
  for (let at = 0; set.length - at >= leastBytes; ) {
    const values: Record<string, Buffer> = {};
    for (const { name, length: fixed } of fields) {
      let length = fixed;
      if (fixed === VARIABLE_LENGTH) {
        length = set[at] ?? 0;
        at += 1;
        if (length === 255) {
          if (at + 2 > set.length) throw malformed("a length is cut short");
          length = set.readUInt16BE(at);
          at += 2;
        }
      }
      if (at + length > set.length) throw malformed(`a value of '${name}' is cut short`);
      values[name] = set.subarray(at, at + length);
      at += length;
    }
    yield values;
  }
}

function malformed(what: string): WireError {
  return new WireError("MALFORMED", `this is not an IPFIX message that can be read: ${what}`);
}
