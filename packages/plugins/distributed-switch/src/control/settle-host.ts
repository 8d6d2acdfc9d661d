import { attachmentKey } from "../process/host-config.ts";
import { addCounters } from "../process/port-counters.ts";
import type { AttachmentCounters, ProcessStatus } from "../process/process-protocol.ts";
import type { DesiredState, Write } from "./desired-state.ts";
import { type HostConfigContent, portId } from "./host-config.ts";
import type { PendingCut, PortRecord } from "./records.ts";

/** What a host has, and how it is asked. */
export interface SettleHostOptions {
  readonly state: DesiredState;
  /** What its process has in force. */
  readonly content: HostConfigContent;
  readonly status: ProcessStatus;
  /** Asks it for the counters of all attachments, also of those that are gone. */
  readonly counters: () => Promise<readonly AttachmentCounters[]>;
}

/** Writes down what a host told: the port of its endpoint, and that attachments are gone, with what they counted. Writes nothing where there is nothing new. */
export async function settleHost(host: string, options: SettleHostOptions): Promise<void> {
  await settleEndpoint(host, options);
  await settleCuts(host, options);
}

async function settleEndpoint(host: string, { state, status }: SettleHostOptions): Promise<void> {
  const port = status.vtep?.port;
  if (port === undefined || port === state.hosts.get(host)?.port) return;
  await state.change(() => {
    const record = state.hosts.get(host);
    if (record === undefined) return { writes: [], result: undefined };
    return { writes: [{ kind: "host", id: host, value: { ...record, port } }], result: undefined };
  });
}

async function settleCuts(host: string, { state, content, counters }: SettleHostOptions): Promise<void> {
  const kept = new Set(content.switches.flatMap(({ ports }) => ports.map(attachmentKey)));
  const keyOf = ({ switchId, portKey }: PortRecord, { attachment }: PendingCut): string =>
    attachmentKey({ id: portId(switchId, portKey), attachment });
  const isGone = (record: PortRecord, cut: PendingCut): boolean => cut.host === host && !kept.has(keyOf(record, cut));
  const concerned = (): PortRecord[] =>
    [...state.switches.keys()].flatMap((id) =>
      state.portsOf(id).filter((record) => record.cuts.some((cut) => isGone(record, cut))),
    );
  if (concerned().length === 0) return;
  const counted = new Map((await counters()).map((each) => [attachmentKey(each), each.counters]));
  await state.change(() => {
    const writes = concerned().map((record): Write => {
      let { carried } = record;
      for (const cut of record.cuts.filter((each) => isGone(record, each))) {
        const last = counted.get(keyOf(record, cut));
        if (last !== undefined) carried = addCounters(carried, last);
      }
      const cuts = record.cuts.filter((each) => !isGone(record, each));
      const { switchId, portKey } = record;
      return { kind: "port", switchId, portKey, value: { ...record, carried, cuts } };
    });
    return { writes, result: undefined };
  });
}
