# mkIf, mkMerge and priorities, and what is left of definitions that have them.
let
  inherit (builtins) any concatMap filter foldl' isAttrs map;
  typeOf = value: if isAttrs value then value._type or "" else "";
  PRIORITY = 100;

  discharge = value:
    if typeOf value == "merge" then concatMap discharge value.contents
    else if typeOf value == "if" then (if value.condition then discharge value.content else [ ])
    else if typeOf value == "override" then map (def: def // { inherit (value) priority; }) (discharge value.content)
    else [ { inherit value; priority = PRIORITY; } ];
in
rec {
  mkIf = condition: content: { _type = "if"; inherit condition content; };
  mkMerge = contents: { _type = "merge"; inherit contents; };
  mkOverride = priority: content: { _type = "override"; inherit priority content; };
  mkForce = mkOverride 50;

  # The values of highest priority (the lowest number).
  definedValues = defs:
    let
      all = concatMap discharge defs;
      best = foldl' (least: { priority, ... }: if priority < least then priority else least) 10000 all;
    in
    map ({ value, ... }: value) (filter ({ priority, ... }: priority == best) all);

  # What definitions of a set say of one of its attributes; conditions are kept, and not looked at, since what
  # they depend on may lie in the same set.
  definitionsOf = name: concatMap (def:
    let type = typeOf def; in
    if type == "merge" then definitionsOf name def.contents
    else if type == "if" then map (mkIf def.condition) (definitionsOf name [ def.content ])
    else if type == "override" then map (mkOverride def.priority) (definitionsOf name [ def.content ])
    else if def ? ${name} then [ def.${name} ] else [ ]);

  namesOf = defs: builtins.attrNames (foldl' (names: name: names // { ${name} = null; }) { } (concatMap (def:
    let type = typeOf def; in
    if type == "merge" then namesOf def.contents
    else if type == "if" || type == "override" then namesOf [ def.content ]
    else builtins.attrNames def) defs));
}
