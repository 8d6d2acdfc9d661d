import { createSocket } from "node:dgram";
import type { FlowExport } from "@vdc-os/core/network/v1";

/** Sends an IPFIX message (RFC 7011) with the template and the record of one IPv4 packet: its addresses. Other frames are left out. */
export function sendFlow({ collector, port, observationDomainId }: FlowExport, frame: Buffer): void {
  if (frame.readUInt16BE(12) !== 0x0800) return;
  const template = Buffer.alloc(16);
  [2, 16, 256, 2, 8, 4, 12, 4].forEach((value, at) => void template.writeUInt16BE(value, at * 2));
  const record = Buffer.alloc(12);
  record.writeUInt16BE(256, 0);
  record.writeUInt16BE(12, 2);
  frame.copy(record, 4, 26, 34);
  const header = Buffer.alloc(16);
  header.writeUInt16BE(10, 0);
  header.writeUInt16BE(16 + template.length + record.length, 2);
  header.writeUInt32BE(Math.floor(Date.now() / 1_000), 4);
  header.writeUInt32BE(observationDomainId, 12);
  const socket = createSocket("udp4");
  socket.send(Buffer.concat([header, template, record]), port, collector, () => socket.close());
}
