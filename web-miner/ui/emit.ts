/** Tells whoever uses the element what a person did. Crosses shadow roots. */
export function emit<Detail>(from: EventTarget, type: string, detail: Detail): void {
  from.dispatchEvent(new CustomEvent(type, { detail, bubbles: true, composed: true }));
}
