import { byId } from './element.ts';

const nearPx = 80;

/** Keeps the newest words in view, unless the person scrolled away from them; then a button leads back. */
export function followNewest(): { grown(): void; jump(): void } {
  const scroller = byId('scroller');
  const latest = byId('latest');
  let isFollowing = true;
  const jump = () => {
    isFollowing = true;
    latest.hidden = true;
    scroller.scrollTop = scroller.scrollHeight;
  };
  scroller.addEventListener(
    'scroll',
    () => {
      isFollowing = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < nearPx;
      if (isFollowing) latest.hidden = true;
    },
    { passive: true },
  );
  latest.addEventListener('click', jump);
  return {
    grown() {
      if (isFollowing) scroller.scrollTop = scroller.scrollHeight;
      else latest.hidden = false;
    },
    jump,
  };
}
