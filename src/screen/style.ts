/** How the page looks. Sizes follow the shorter side, 3.5 inch panel or wide bar, for two metres; only what WebKit of 2016 knows is used. */

export const style = `
:root{--ground:#0a0f16;--raised:#151e2a;--line:#2c3c4f;--text:#f0f5fa;--soft:#9fb2c6;--accent:#4ea6ff;--ok:#3ad29f;--bad:#ff7b72;--warn:#ffc454;--on:#06111d}
@media (prefers-color-scheme:light){:root{--ground:#f4f7fb;--raised:#fff;--line:#d5dfea;--text:#0e1c2b;--soft:#4b5f74;--accent:#0a63c9;--ok:#0b7f57;--bad:#c4261d;--warn:#8a5a00;--on:#fff}}
*{box-sizing:border-box;margin:0;padding:0}
[hidden]{display:none!important}
html{font-size:4vmin;height:100%}
body{height:100%;background:var(--ground);color:var(--text);font-family:"Noto Sans","DejaVu Sans","Noto Sans CJK SC",sans-serif;font-variant-numeric:tabular-nums;line-height:1.25;overflow:hidden;word-wrap:break-word}
header b,#link,small,#version,#facts span+span,#note,#raw,#steps li,#more,#entries time,#entries p,#question p{color:var(--soft)}
main,.sheet{height:100%;padding:1.2rem 1.6rem;display:flex;flex-direction:column}
nav{margin-left:auto}
nav button:first-child{margin-left:0}
header,footer,nav,#steps,section{display:flex;align-items:center}
header,footer{justify-content:space-between;flex:none}
header b{font-weight:600}
#link{text-align:right}
#link:before{content:"";display:inline-block;width:.6rem;height:.6rem;border-radius:50%;background:var(--ok);margin-right:.5rem}
.new #link:before{opacity:0}
.lost b{display:none}
.lost #link{color:var(--warn);font-weight:600;font-size:1.2rem}
.lost #link:before{background:var(--warn)}
section{flex:1 1 0;min-height:0}
#ring{position:relative;flex:none;width:12.5rem;height:12.5rem;margin-right:2rem;color:var(--accent)}
.lost #ring{opacity:.4}
svg{display:block;width:100%;height:100%}
circle,path{fill:none;stroke:currentColor;stroke-width:9;stroke-linecap:round;stroke-linejoin:round}
.track{stroke:var(--line)}
#arc{stroke-dasharray:333;stroke-dashoffset:333;transition:stroke-dashoffset .4s}
.zero #arc{stroke:transparent}
.sign{display:none}
.ok #ring{color:var(--ok)}
.wait #ring{color:var(--accent)}
.bad #ring{color:var(--bad)}
.held #ring,.back #ring{color:var(--warn)}
.ok .sign.ok,.bad .sign.bad,.held .sign.held,.back .sign.back{display:inline}
#figure{position:absolute;top:0;left:0;width:100%;line-height:12.5rem;text-align:center;color:var(--text);font-weight:700;font-size:1rem;white-space:nowrap}
#percent{font-size:4.6rem;letter-spacing:-.04em}
small{font-size:1.7rem;margin-left:.15rem}
#words{flex:1 1 0;min-width:0}
h1{font-size:3rem;line-height:1.1;font-weight:700;letter-spacing:-.02em}
#version,#detail,#facts,#reason,#lead{font-size:1.5rem}
#version{margin-top:.3rem}
#detail{margin-top:.5rem;max-height:3.8em;overflow:hidden}
#facts{margin-top:.5rem}
#facts span{display:inline-block;margin-right:1.4rem}
#facts #amount{display:block}
#note{font-size:1.2rem}
#note,#reason,#raw,#more{margin-top:.6rem}
#raw,#more{font:.85rem/1.4 "DejaVu Sans Mono",monospace}
#raw{max-height:4.2em;overflow:auto}
#steps{flex:1;list-style:none;min-width:0}
#steps li{font-size:1.1rem;white-space:nowrap}
#steps li:before{content:"";display:inline-block;width:.8rem;height:.8rem;margin-right:.5rem;border:.17rem solid var(--line);border-radius:50%;vertical-align:-.05rem}
#steps li+li{margin-left:1.6rem}
nav{flex-wrap:wrap;justify-content:flex-end}
.acts #steps li:not(.now){display:none}
#steps .now{color:var(--text);font-weight:600}
#steps .now:before{border-color:var(--accent)}
#steps .done:before{background:var(--ok);border-color:var(--ok)}
button{font:inherit;font-weight:600;font-size:1.15rem;line-height:1;color:var(--text);background:var(--raised);border:.1rem solid var(--line);border-radius:.7rem;padding:.85rem 1.4rem;margin-left:1rem;-webkit-appearance:none;appearance:none;cursor:pointer;white-space:nowrap}
button:focus{outline:.18rem solid var(--accent);outline-offset:.12rem}
button:disabled{opacity:.4}
.danger{background:var(--bad);border-color:var(--bad);color:var(--on)}
.good{background:var(--accent);border-color:var(--accent);color:var(--on)}
#lead,#more{white-space:pre-line}
h2{font-size:2.2rem;line-height:1.15;letter-spacing:-.01em}
#entries,#scroll{list-style:none;overflow:auto;flex:1 1 0;margin-top:1rem;outline:0}
#more{font-size:1.1rem}
#entries li{background:var(--raised);border-left:.35rem solid var(--ok);border-radius:.4rem;padding:.7rem 1.1rem;margin-bottom:.6rem;font-size:1.25rem}
#entries .failed{border-color:var(--bad)}
#entries time,#entries p{font-size:1.05rem}
#entries time{float:right}
#entries p{margin-top:.2rem}
#question{justify-content:center;align-items:center;text-align:center}
#question p{font-size:1.4rem;margin:.8rem 0 1.6rem;max-width:30em}
#question #refusal{color:var(--bad);margin-top:0}
#refusal:empty{display:none}
#question nav{margin:0}
#question button{font-size:1.5rem;padding:1.1rem 2.2rem}
@media (max-height:400px) and (max-aspect-ratio:2/1){html{font-size:4.7vmin}main,.sheet{padding:.7rem 1rem}#ring{width:10rem;height:10rem;margin-right:1.2rem}#figure{line-height:10rem}#percent{font-size:3.6rem}h1{font-size:2.3rem}#steps li+li{margin-left:.8rem}#steps li{font-size:1rem}button{padding:.8rem 1rem;margin-left:.6rem;font-size:1rem}#raw{max-height:2.8em}#reason{font-size:1.3rem}}
@media (min-aspect-ratio:3/1){html{font-size:5.2vmin}main{flex-direction:row}main header{position:absolute;right:2rem;top:1rem}main b{display:none}#facts #amount{display:inline-block}#ring{width:15rem;height:15rem;margin-right:3rem}#figure{line-height:15rem}#percent{font-size:5.6rem}h1{font-size:4rem}main footer{flex-direction:column;justify-content:flex-end;align-items:flex-end;padding-top:3rem;margin-left:3rem}#steps{display:block;flex:none}#steps li{font-size:1.5rem;padding:.35rem 0}#steps li+li{margin-left:0}#steps+nav{margin-top:.8rem}main nav{max-width:26rem}main nav button{margin-top:.5rem}.acts #steps li:not(.now){display:block}#raw{max-height:2.8em}}
@media (max-aspect-ratio:1/1){section{flex-direction:column;justify-content:center;text-align:center}#ring{margin:0 0 1.5rem}#words{flex:none;max-width:100%}footer{display:block}main{padding:1rem}#facts span{margin:0 .7rem}#steps{justify-content:center;margin-bottom:1.2rem}#steps li{font-size:.95rem}#steps li+li{margin-left:.7rem}nav{justify-content:center}main nav button{margin:.5rem .4rem 0}.acts #steps li:not(.now){display:block}}
`;
