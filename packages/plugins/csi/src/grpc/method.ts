import type { Message } from "./message.ts";

/** A unary gRPC method: its path, and the messages that cross. */
export interface Method<Request, Response> {
  /** `/package.Service/Method`. */
  readonly path: string;
  readonly request: Message<Request>;
  readonly response: Message<Response>;
}

/** Defines a method. */
export function method<Request, Response>(
  path: string,
  request: Message<Request>,
  response: Message<Response>,
): Method<Request, Response> {
  return { path, request, response };
}

/** A message on either side may have no more bytes than this (the default of gRPC's own libraries). */
export const defaultMaxMessageBytes: number = 4 * 1024 * 1024;

/** What a frame begins with: a byte that says whether it is compressed, and four with the length (gRPC over HTTP/2, "Length-Prefixed-Message"). */
export const frameHeaderBytes = 5;

/** A message as it lies in an HTTP/2 body. */
export function frame(message: Uint8Array): Buffer {
  const header = Buffer.alloc(frameHeaderBytes);
  header.writeUInt32BE(message.length, 1);
  return Buffer.concat([header, message]);
}
