/** The part of simple-peer that the peer link uses. Its shipped bundle is imported because the bare one needs shims for Node. */
declare module 'simple-peer/simplepeer.min.js' {
  interface SignalData {
    type?: 'offer' | 'answer';
    sdp?: string;
  }
  interface PeerOptions {
    initiator: boolean;
    trickle: boolean;
    iceCompleteTimeout: number;
    config: RTCConfiguration;
    channelConfig?: RTCDataChannelInit;
  }
  export default class Peer {
    constructor(options: PeerOptions);
    readonly connected: boolean;
    readonly destroyed: boolean;
    signal(data: SignalData): void;
    send(data: Uint8Array): void;
    destroy(error?: Error): void;
    on(event: 'signal', listener: (data: SignalData) => void): this;
    on(event: 'connect' | 'close', listener: () => void): this;
    on(event: 'data', listener: (data: Uint8Array) => void): this;
    on(event: 'error', listener: (error: Error) => void): this;
    readonly _pc: RTCPeerConnection | null;
    readonly _channel: RTCDataChannel | null;
  }
}
